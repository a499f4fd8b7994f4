"""Turns a trained bundle into device files, and proves each one."""
