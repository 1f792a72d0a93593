package replica

import "container/heap"

type indexWaiter struct {
	index uint64
	f     func()
}

// indexOrder is a heap of who waits for the engine to come to an index.
type indexOrder []indexWaiter

func (o indexOrder) Len() int           { return len(o) }
func (o indexOrder) Less(i, j int) bool { return o[i].index < o[j].index }
func (o indexOrder) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }

// Push and Pop are for package heap.
func (o *indexOrder) Push(x any) { *o = append(*o, x.(indexWaiter)) }

// Pop removes the last waiter.
func (o *indexOrder) Pop() any {
	last := len(*o) - 1
	w := (*o)[last]
	(*o)[last] = indexWaiter{}
	*o = (*o)[:last]
	return w
}

// upTo removes and returns those who wait for index or less.
func (o *indexOrder) upTo(index uint64) []func() {
	var reached []func()
	for len(*o) > 0 && (*o)[0].index <= index {
		reached = append(reached, heap.Pop(o).(indexWaiter).f)
	}
	return reached
}
