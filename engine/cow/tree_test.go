package cow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// check verifies the structure and returns the items in order.
func check(t require.TestingT, tree Tree[int, int]) (keys []int) {
	var visit func(n *node[int, int], depth int) (size, height int)
	visit = func(n *node[int, int], depth int) (int, int) {
		require.LessOrEqual(t, len(n.items), maxItems)
		require.NotEmpty(t, n.items)
		size, height := len(n.items), 0
		if len(n.kids) > 0 {
			require.Len(t, n.kids, len(n.items)+1)
			for i, k := range n.kids {
				s, h := visit(k, depth+1)
				size += s
				if i > 0 {
					require.Equal(t, height, h+1, "all leaves at one depth")
				}
				height = h + 1
			}
		}
		require.Equal(t, size, n.size)
		return size, height
	}
	if tree.root != nil {
		visit(tree.root, 0)
	}
	for k := range tree.All() {
		keys = append(keys, k)
	}
	require.True(t, slices.IsSorted(keys))
	require.Len(t, keys, tree.Len())
	return keys
}

func TestEmptyTree(t *testing.T) {
	tree := New[int, int](cmp.Compare[int])
	_, found := tree.Get(1)
	assert.False(t, found)
	_, _, found = tree.Min()
	assert.False(t, found)
	_, _, found = tree.Max()
	assert.False(t, found)
	assert.Zero(t, tree.Len())
	assert.Zero(t, tree.Rank(7))
	assert.Empty(t, check(t, tree))
	for range tree.From(3) {
		t.Fatal("nothing to walk")
	}
}

func TestOrdersOfInsertionAndDeletion(t *testing.T) {
	const n = 5000
	orders := map[string]func(i int) int{
		"ascending":  func(i int) int { return i },
		"descending": func(i int) int { return n - 1 - i },
		"scattered":  func(i int) int { return i * 2731 % n },
	}
	for in, inOrder := range orders {
		for out, outOrder := range orders {
			t.Run(fmt.Sprintf("%s in, %s out", in, out), func(t *testing.T) {
				tree := New[int, int](cmp.Compare[int])
				for i := range n {
					tree.Insert(0, inOrder(i), i)
				}
				require.Len(t, check(t, tree), n)
				for i := range n {
					tree.Delete(0, outOrder(i))
					if i%500 == 0 {
						require.Len(t, check(t, tree), n-i-1)
					}
				}
				require.Nil(t, tree.root)
			})
		}
	}
}

func TestAscendingInsertionFillsTheNodes(t *testing.T) {
	tree := New[int, int](cmp.Compare[int])
	const n = 10_000
	for i := range n {
		tree.Insert(0, i, i)
	}
	leaves := 0
	var visit func(nd *node[int, int])
	visit = func(nd *node[int, int]) {
		if len(nd.kids) == 0 {
			leaves++
		}
		for _, k := range nd.kids {
			visit(k)
		}
	}
	visit(tree.root)
	assert.Greater(t, n/leaves, maxItems*9/10)
}

func TestMisuseIsABug(t *testing.T) {
	tree := New[int, int](cmp.Compare[int])
	assert.Panics(t, func() { tree.Replace(0, 1, 1) })
	assert.Panics(t, func() { tree.Delete(0, 1) })
	tree.Insert(1, 1, 1)
	assert.Panics(t, func() { tree.Insert(1, 1, 1) })
	assert.Panics(t, func() { tree.Replace(1, 2, 1) })
	assert.Panics(t, func() { tree.Delete(1, 2) })
	assert.Panics(t, func() { tree.Insert(0, 2, 1) }, "epochs do not go back")
}

// A sorted map, and a view of every epoch that must not move.
func TestProp_TreeIsAMapAndViewsStandStill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type view struct {
			tree Tree[int, int]
			want map[int]int
		}
		tree := New[int, int](cmp.Compare[int])
		model := map[int]int{}
		var views []view
		epoch := uint64(1)
		space := rapid.SampledFrom([]int{20, 200, 2000}).Draw(t, "space")
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			first := rapid.IntRange(0, space-1).Draw(t, "first")
			step := rapid.SampledFrom([]int{1, 1, 7, 61}).Draw(t, "step")
			grow := rapid.Bool().Draw(t, "grow")
			for i := range rapid.IntRange(1, space).Draw(t, "count") {
				k := (first + i*step) % space
				_, found := model[k]
				switch {
				case found && grow:
					tree.Replace(epoch, k, i)
					model[k] = i
				case found:
					tree.Delete(epoch, k)
					delete(model, k)
				case grow:
					tree.Insert(epoch, k, i)
					model[k] = i
				}
			}
			copied := map[int]int{}
			for k, v := range model {
				copied[k] = v
			}
			views = append(views, view{tree, copied})
			epoch++
		}
		for _, v := range views {
			keys := check(t, v.tree)
			require.Len(t, keys, len(v.want))
			for i, k := range keys {
				got, found := v.tree.Get(k)
				require.True(t, found)
				require.Equal(t, v.want[k], got)
				require.Equal(t, i, v.tree.Rank(k))
			}
			from := rapid.IntRange(-1, space).Draw(t, "from")
			var tail []int
			for k := range v.tree.From(from) {
				tail = append(tail, k)
			}
			at, _ := slices.BinarySearch(keys, from)
			require.Equal(t, len(keys)-at, len(tail))
			require.True(t, slices.Equal(keys[at:], tail))
			require.Equal(t, at, v.tree.Rank(from))
			if len(keys) > 0 {
				low, _, _ := v.tree.Min()
				high, _, _ := v.tree.Max()
				require.Equal(t, keys[0], low)
				require.Equal(t, keys[len(keys)-1], high)
			}
		}
	})
}

func TestWalksStopWhenAsked(t *testing.T) {
	tree := New[string, int](strings.Compare)
	for i := range 1000 {
		tree.Insert(0, fmt.Sprintf("%04d", i), i)
	}
	for _, stop := range []int{0, 46, 47, 500, 999} {
		n := 0
		for range tree.All() {
			if n == stop {
				break
			}
			n++
		}
		assert.Equal(t, stop, n)
		n = 0
		for _, v := range tree.From("0000") {
			require.Equal(t, n, v)
			if n == stop {
				break
			}
			n++
		}
		assert.Equal(t, stop, n)
	}
}

// With -race: a view is walked by another goroutine while the tree changes.
func TestViewIsWalkedBesideChanges(t *testing.T) {
	tree := New[int, int](cmp.Compare[int])
	for i := range 3000 {
		tree.Insert(0, i, 0)
	}
	var wg sync.WaitGroup
	for epoch := uint64(1); epoch < 20; epoch++ {
		view := tree
		want := tree.Len()
		wg.Go(func() {
			n := 0
			for range view.All() {
				n++
			}
			assert.Equal(t, want, n)
		})
		for i := range 100 {
			tree.Replace(epoch, i*29%1000+1500, i)
			tree.Delete(epoch, int(epoch-1)*100%1000+i)
		}
		if epoch%10 == 0 {
			for i := range 1000 {
				tree.Insert(epoch, i, 1)
			}
		}
	}
	wg.Wait()
}

func BenchmarkInsertDelete(b *testing.B) {
	tree := New[string, int](strings.Compare)
	keys := make([]string, 4096)
	for i := range keys {
		keys[i] = fmt.Sprintf("/bench/%d", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		k := keys[i*61%len(keys)]
		tree.Insert(0, k, i)
		tree.Delete(0, k)
	}
}
