"""Evidence bundles: gathered from the read model, proved from the node."""
