"""A worker that answers at once: the entry on a bare Python, with the real worker prepared behind it.

```
front.py        answers `ping`, `echo`, `health`, `setup_environment`; hands on all other jobs
preparation.py  follows a build and tells how far it is
building/       a child process: makes the environment, once a volume
real_worker.py  the real worker as a child, in the environment's Python; serving.py is its side
```

Everything but `serving` runs on a Python that has nothing but the RunPod SDK: the standard library only.
"""
