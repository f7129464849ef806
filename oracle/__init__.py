"""From signed meter readings to posted, quorum-signed windows."""
