"""A CUDA device that does not exist, on which the tests of `make gpu` run, on any machine with a C++ compiler.

    python -m tests.pretended_cuda [ARGUMENTS OF PYTEST]

Its tensors are those of the CPU, so the numbers are right. As on a real device, an operation on tensors of both devices
fails, and so does what waits while `torch.cuda.set_sync_debug_mode("error")` is set. Each of several
processes has one. If a process fails, the devices of the others wait for it, as with NCCL, but not the processes: these
train on with wrong sums until they read from their devices. Memory, time and order are not those of a device: nothing
runs in the background.
"""
