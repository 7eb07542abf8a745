"""What clients are told without asking: published messages, events of keys, invalidations of what they have cached."""
