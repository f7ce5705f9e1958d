"""S2: accounts and product holdings, under hard caps."""
