"""The edge to the chain: compiler, embedded node, client."""
