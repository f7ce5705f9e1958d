"""S4: devices, IP endpoints, and the graph between everything."""
