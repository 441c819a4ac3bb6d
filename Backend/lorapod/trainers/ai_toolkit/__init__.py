"""AI Toolkit by Ostris (https://github.com/ostris/ai-toolkit), run unmodified as a child process."""
