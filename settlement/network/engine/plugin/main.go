// Command plugin serves Subnet-EVM to avalanchego.
//
// The stock plugin refuses to start where a process may not have 32,768 open files. What this one
// needs is far less, and the limit the node itself runs under is set by its --fd-limit.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/ava-labs/avalanchego/vms/rpcchainvm"
	"github.com/ava-labs/subnet-evm/plugin/evm"
)

func main() {
	if err := rpcchainvm.Serve(context.Background(), &evm.VM{}); err != nil {
		fmt.Fprintln(os.Stderr, "the plugin ended:", err)
		os.Exit(1)
	}
}
