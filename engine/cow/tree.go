package cow

import "fmt"

const (
	// maxItems is how many items a node has at most; odd, so that a full node
	// splits in two equal halves and an item between them.
	maxItems = 47
	// minItems is what a node has at least, where deletion has touched it.
	minItems = maxItems / 2
)

// Tree is an ordered map. A Tree is a value: a copy of it is a view of what it
// held, provided that from then on the original is changed with a higher epoch
// than before, and the copy not at all. Every node carries the epoch that made
// it; a change copies the nodes of earlier epochs on its way and leaves them to
// the views. Copying is O(1) and needs no lock: nodes that a view can see are
// never written again.
//
// Keys are compared by the function handed to New. The zero Tree is not usable.
type Tree[K, V any] struct {
	root *node[K, V]
	cmp  func(a, b K) int
}

type item[K, V any] struct {
	key   K
	value V
}

type node[K, V any] struct {
	epoch uint64
	// size counts the items of the whole subtree.
	size  int
	items []item[K, V]
	// kids has one more element than items, or none in a leaf.
	kids []*node[K, V]
}

// New returns an empty tree ordered by cmp.
func New[K, V any](cmp func(a, b K) int) Tree[K, V] { return Tree[K, V]{cmp: cmp} }

// Len is how many items there are.
func (t *Tree[K, V]) Len() int {
	if t.root == nil {
		return 0
	}
	return t.root.size
}

// Get returns the value of a key.
func (t *Tree[K, V]) Get(key K) (V, bool) {
	for n := t.root; n != nil; {
		i, found := n.search(t.cmp, key)
		if found {
			return n.items[i].value, true
		}
		n = n.kid(i)
	}
	var none V
	return none, false
}

// Rank is how many items have smaller keys.
func (t *Tree[K, V]) Rank(key K) int {
	rank := 0
	for n := t.root; n != nil; {
		i, found := n.search(t.cmp, key)
		rank += i
		for k := range min(i, len(n.kids)) {
			rank += n.kids[k].size
		}
		if found {
			if k := n.kid(i); k != nil {
				rank += k.size
			}
			return rank
		}
		n = n.kid(i)
	}
	return rank
}

// Min returns the item with the smallest key.
func (t *Tree[K, V]) Min() (key K, value V, found bool) {
	if t.root == nil {
		return key, value, false
	}
	n := t.root
	for len(n.kids) > 0 {
		n = n.kids[0]
	}
	return n.items[0].key, n.items[0].value, true
}

// Max returns the item with the largest key.
func (t *Tree[K, V]) Max() (key K, value V, found bool) {
	if t.root == nil {
		return key, value, false
	}
	n := t.root
	for len(n.kids) > 0 {
		n = n.kids[len(n.kids)-1]
	}
	last := n.items[len(n.items)-1]
	return last.key, last.value, true
}

// search returns where key stands among the node's items, or would.
func (n *node[K, V]) search(cmp func(a, b K) int, key K) (int, bool) {
	low, high := 0, len(n.items)
	for low < high {
		mid := int(uint(low+high) >> 1)
		switch c := cmp(n.items[mid].key, key); {
		case c == 0:
			return mid, true
		case c < 0:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}

// kid returns the i-th child; nil in a leaf.
func (n *node[K, V]) kid(i int) *node[K, V] {
	if len(n.kids) == 0 {
		return nil
	}
	return n.kids[i]
}

// own returns the node, or a copy of it when it is of an earlier epoch.
func (n *node[K, V]) own(epoch uint64) *node[K, V] {
	if n.epoch == epoch {
		return n
	}
	if n.epoch > epoch {
		panic(fmt.Sprintf("cow: node of epoch %d changed in epoch %d", n.epoch, epoch))
	}
	c := &node[K, V]{epoch: epoch, size: n.size, items: make([]item[K, V], len(n.items), min(cap(n.items), maxItems))}
	copy(c.items, n.items)
	if len(n.kids) > 0 {
		c.kids = make([]*node[K, V], len(n.kids), min(cap(n.kids), maxItems+1))
		copy(c.kids, n.kids)
	}
	return c
}

// ownKid makes the i-th child of an owned node owned, and returns it.
func (n *node[K, V]) ownKid(i int, epoch uint64) *node[K, V] {
	k := n.kids[i].own(epoch)
	n.kids[i] = k
	return k
}
