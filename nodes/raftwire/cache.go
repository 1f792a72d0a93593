package raftwire

import (
	"sync"

	"github.com/hashicorp/raft"
)

// cache keeps the newest entries, so that sending them to followers does not read
// them back from the disk: once per follower and entry, and once more for each
// entry's predecessor.
type cache struct {
	mu      sync.RWMutex
	entries [cacheEntries]raft.Log
}

func (c *cache) get(index uint64, e *raft.Log) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	kept := &c.entries[index%cacheEntries]
	if kept.Index != index || index == 0 {
		return false
	}
	*e = *kept
	return true
}

func (c *cache) put(entries []*raft.Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		slot := &c.entries[e.Index%cacheEntries]
		if len(e.Data) > maxCachedEntry {
			*slot = raft.Log{}
			continue
		}
		*slot = *e
	}
}

func (c *cache) drop(first, last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.entries {
		if e := &c.entries[i]; e.Index >= first && e.Index <= last {
			*e = raft.Log{}
		}
	}
}
