"""What the machine has and what else it is doing: devices, versions, memory, load, timing."""
