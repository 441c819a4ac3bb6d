"""A worker that answers at once: the entry on a bare Python, with the real worker prepared behind it.

```
entry.py          the SDK's loop
front.py          answers `ping`, `echo`, `health` and `setup_environment`; hands on all other jobs
worker_runner.py  prepares the environment, starts the real worker and restarts it
preparation.py    follows a build and reports its progress
building/         a child process that makes the environment, once for each volume
real_worker.py    the real worker as a child, in the environment's Python; serving.py is the child's side
```

Everything except `serving` imports only the standard library, because its Python has nothing but the RunPod SDK.
"""
