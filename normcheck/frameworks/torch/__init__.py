"""The framework torch: functions, modules, and functions that transform modules."""
