"""Loaded by Python at its start: DMA memory, which only a Raspberry Pi's kernel has, as anonymous files."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any


class _Finder:
    """Changes ``picamera2.dma_heap`` when it is imported: where its memory comes from, and that needs no flushing."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> Any:
        if name not in ("picamera2.dma_heap", "picamera2.allocators.dmaallocator"):
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.util.find_spec(name)
        sys.meta_path.insert(0, self)  # type: ignore[arg-type]
        assert spec is not None
        assert spec.loader is not None
        run = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            run(module)
            if name == "picamera2.dma_heap":
                module.DmaHeap = lambda: _Heap(module)
            else:
                module.fcntl = _NoFlush

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


class _Heap:
    def __init__(self, module: Any) -> None:
        self._module = module

    def alloc(self, name: str, size: int) -> Any:
        number = os.memfd_create(name)
        os.ftruncate(number, size)
        return self._module.UniqueFD(number)

    def close(self) -> None:
        pass


class _NoFlush:
    @staticmethod
    def ioctl(*_arguments: Any) -> int:
        return 0


sys.meta_path.insert(0, _Finder())  # type: ignore[arg-type]
