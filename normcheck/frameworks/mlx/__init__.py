"""The framework MLX: functions of its arrays, and layers of mlx.nn."""
