package cow

import "slices"

// Insert adds a key that is not in the tree.
func (t *Tree[K, V]) Insert(epoch uint64, key K, value V) {
	if t.root == nil {
		t.root = &node[K, V]{epoch: epoch, size: 1, items: []item[K, V]{{key, value}}}
		return
	}
	n := t.root.own(epoch)
	if len(n.items) >= maxItems {
		i, _ := n.search(t.cmp, key)
		top := &node[K, V]{epoch: epoch, size: n.size, kids: []*node[K, V]{n}}
		top.split(0, epoch, i == len(n.items))
		n = top
	}
	t.root = n
	for {
		n.size++
		i, found := n.search(t.cmp, key)
		if found {
			panic("cow: insert of a key that is there")
		}
		if len(n.kids) == 0 {
			n.items = slices.Insert(n.items, i, item[K, V]{key, value})
			return
		}
		kid := n.ownKid(i, epoch)
		if len(kid.items) >= maxItems {
			at, _ := kid.search(t.cmp, key)
			n.split(i, epoch, at == len(kid.items))
			if t.cmp(n.items[i].key, key) < 0 {
				i++
			}
			kid = n.kids[i]
		}
		n = kid
	}
}

// split cuts the full i-th child of an owned node in two. At the right edge,
// where ascending keys arrive, the left part keeps nearly all: nodes that will
// not grow any more are then full.
func (n *node[K, V]) split(i int, epoch uint64, rightEdge bool) {
	left := n.kids[i]
	at := minItems
	if rightEdge {
		at = maxItems - 2
	}
	middle := left.items[at]
	right := &node[K, V]{epoch: epoch, items: slices.Clone(left.items[at+1:])}
	clear(left.items[at:])
	left.items = left.items[:at]
	if len(left.kids) > 0 {
		right.kids = slices.Clone(left.kids[at+1:])
		clear(left.kids[at+1:])
		left.kids = left.kids[:at+1]
	}
	right.count()
	left.size -= right.size + 1
	n.items = slices.Insert(n.items, i, middle)
	n.kids = slices.Insert(n.kids, i+1, right)
}

// count sets size from the items and the children's sizes.
func (n *node[K, V]) count() {
	n.size = len(n.items)
	for _, k := range n.kids {
		n.size += k.size
	}
}

// Replace changes the value of a key that is in the tree.
func (t *Tree[K, V]) Replace(epoch uint64, key K, value V) {
	if t.root == nil {
		panic("cow: replacing in an empty tree")
	}
	t.root = t.root.own(epoch)
	for n := t.root; ; {
		i, found := n.search(t.cmp, key)
		if found {
			n.items[i].value = value
			return
		}
		if len(n.kids) == 0 {
			panic("cow: replacing a key that is not there")
		}
		n = n.ownKid(i, epoch)
	}
}

// Delete removes a key that is in the tree.
func (t *Tree[K, V]) Delete(epoch uint64, key K) {
	if t.root == nil {
		panic("cow: deleting from an empty tree")
	}
	n := t.root.own(epoch)
	t.root = n
	n.delete(t.cmp, epoch, key)
	if len(n.items) == 0 {
		t.root = n.kid(0)
	}
}

// delete removes key from an owned node's subtree. A node short of items is grown
// before it is descended to, so that nothing is repaired on the way back: it then
// has at least two, one of which may go, or move into a merge of its children.
// (The right edge may have nodes with a single item; see split.)
func (n *node[K, V]) delete(cmp func(a, b K) int, epoch uint64, key K) {
	for {
		i, found := n.search(cmp, key)
		if len(n.kids) == 0 {
			if !found {
				panic("cow: deleting a key that is not there")
			}
			n.items = slices.Delete(n.items, i, i+1)
			n.size--
			return
		}
		if len(n.kids[i].items) <= minItems {
			n.grow(i, epoch)
			i, found = n.search(cmp, key) // items have moved
		}
		n.size--
		kid := n.ownKid(i, epoch)
		if found {
			n.items[i] = kid.popMax(epoch)
			return
		}
		n = kid
	}
}

// popMax removes the largest item of an owned node's subtree.
func (n *node[K, V]) popMax(epoch uint64) item[K, V] {
	for {
		if len(n.kids) == 0 {
			last := len(n.items) - 1
			top := n.items[last]
			n.items = slices.Delete(n.items, last, last+1)
			n.size--
			return top
		}
		if i := len(n.kids) - 1; len(n.kids[i].items) <= minItems {
			n.grow(i, epoch)
		}
		n.size--
		n = n.ownKid(len(n.kids)-1, epoch)
	}
}

// grow gives the i-th child of an owned node another item, from a neighbour that
// can spare one, or else by merging the two.
func (n *node[K, V]) grow(i int, epoch uint64) {
	switch {
	case i > 0 && len(n.kids[i-1].items) > minItems:
		n.takeFromLeft(i, epoch)
	case i < len(n.items) && len(n.kids[i+1].items) > minItems:
		n.takeFromRight(i, epoch)
	case i < len(n.items):
		n.merge(i, epoch)
	default:
		n.merge(i-1, epoch)
	}
}

func (n *node[K, V]) takeFromLeft(i int, epoch uint64) {
	kid, left := n.ownKid(i, epoch), n.ownKid(i-1, epoch)
	last := len(left.items) - 1
	kid.items = slices.Insert(kid.items, 0, n.items[i-1])
	n.items[i-1] = left.items[last]
	left.items = slices.Delete(left.items, last, last+1)
	moved := 1
	if len(left.kids) > 0 {
		end := len(left.kids) - 1
		kid.kids = slices.Insert(kid.kids, 0, left.kids[end])
		left.kids = slices.Delete(left.kids, end, end+1)
		moved += kid.kids[0].size
	}
	kid.size += moved
	left.size -= moved
}

func (n *node[K, V]) takeFromRight(i int, epoch uint64) {
	kid, right := n.ownKid(i, epoch), n.ownKid(i+1, epoch)
	kid.items = append(kid.items, n.items[i])
	n.items[i] = right.items[0]
	right.items = slices.Delete(right.items, 0, 1)
	moved := 1
	if len(right.kids) > 0 {
		kid.kids = append(kid.kids, right.kids[0])
		right.kids = slices.Delete(right.kids, 0, 1)
		moved += kid.kids[len(kid.kids)-1].size
	}
	kid.size += moved
	right.size -= moved
}

// merge joins the i-th child, the item after it, and the child after that.
func (n *node[K, V]) merge(i int, epoch uint64) {
	left, right := n.ownKid(i, epoch), n.kids[i+1]
	left.items = append(left.items, n.items[i])
	left.items = append(left.items, right.items...)
	left.kids = append(left.kids, right.kids...)
	left.size += right.size + 1
	n.items = slices.Delete(n.items, i, i+1)
	n.kids = slices.Delete(n.kids, i+1, i+2)
}
