// Package mockable, in place of avalanchego's own in the engine that tests run on: the same clock, but
// ahead of the host's by as many seconds as the file "clock" in the working directory says.
//
// Deadlines of a session lie days apart and a contract sees no time but the chain's, so a day can only be
// settled within minutes where that can be moved. A node of a real network is built without this file, and
// would refuse a block that is more than ten seconds ahead of its own clock.
package mockable

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const readEvery = 50 * time.Millisecond

// MaxTime is the latest time that can be compared with others.
var MaxTime = time.Unix(1<<63-62135596801, 0)

var ahead atomic.Int64

func init() {
	read()
	go func() {
		for range time.Tick(readEvery) {
			read()
		}
	}()
}

func read() {
	text, err := os.ReadFile("clock")
	if err != nil {
		return
	}
	if seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
		ahead.Store(seconds)
	}
}

// Clock tells the time, or what it was set to.
type Clock struct {
	faked bool
	time  time.Time
}

// Set stops the clock at a time.
func (c *Clock) Set(time time.Time) { c.faked, c.time = true, time }

// Sync lets it run again.
func (c *Clock) Sync() { c.faked = false }

// Time is the time on this clock.
func (c *Clock) Time() time.Time {
	if c.faked {
		return c.time
	}
	return time.Now().Add(time.Duration(ahead.Load()) * time.Second)
}

// UnixTime is the time on this clock in whole seconds.
func (c *Clock) UnixTime() time.Time { return c.Time().Truncate(time.Second) }

// Unix is the time on this clock in seconds since 1970.
func (c *Clock) Unix() uint64 { return uint64(max(c.Time().Unix(), 0)) }
