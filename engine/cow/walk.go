package cow

import "iter"

// All yields the items by key. The tree must not be changed meanwhile; a copy of
// it may be walked while the original changes.
func (t *Tree[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.root.walk(yield) }
}

// From yields the items from a key on, by key, the key itself included.
func (t *Tree[K, V]) From(key K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.root.walkFrom(t.cmp, key, yield) }
}

func (n *node[K, V]) walk(yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.items {
		if !n.kid(i).walk(yield) || !yield(n.items[i].key, n.items[i].value) {
			return false
		}
	}
	return n.kid(len(n.items)).walk(yield)
}

func (n *node[K, V]) walkFrom(cmp func(a, b K) int, key K, yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	i, found := n.search(cmp, key)
	if !found && !n.kid(i).walkFrom(cmp, key, yield) {
		return false
	}
	for ; i < len(n.items); i++ {
		if !yield(n.items[i].key, n.items[i].value) || !n.kid(i+1).walk(yield) {
			return false
		}
	}
	return true
}
