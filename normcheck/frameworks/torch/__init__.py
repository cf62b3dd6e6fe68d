"""Targets of torch: functions, modules, transforms of modules."""
