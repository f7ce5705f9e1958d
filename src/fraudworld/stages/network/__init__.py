"""S4: devices, IP endpoints, and the links between them, parties, accounts and instruments."""
