//go:build tools

// Package engine pins what the two programs are built from; it is never compiled itself.
package engine

import _ "github.com/ava-labs/avalanchego/main"
