"""Everything that touches the world: the log stores, processes, files, the clock."""
