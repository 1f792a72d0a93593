package lease

import "container/heap"

// wakeOrder is a heap of rows by when they are looked at next, then by session,
// so that decisions come in one order on every run.
type wakeOrder []*lease

func (o wakeOrder) Len() int { return len(o) }

func (o wakeOrder) Less(i, j int) bool {
	if o[i].wake != o[j].wake {
		return o[i].wake < o[j].wake
	}
	return o[i].id < o[j].id
}

func (o wakeOrder) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].slot, o[j].slot = i, j
}

// Push and Pop are for package heap.
func (o *wakeOrder) Push(x any) {
	row := x.(*lease)
	row.slot = len(*o)
	*o = append(*o, row)
}

// Pop removes the last row.
func (o *wakeOrder) Pop() any {
	last := len(*o) - 1
	row := (*o)[last]
	(*o)[last] = nil
	*o = (*o)[:last]
	return row
}

func (t *Table) add(row *lease) {
	t.rows[row.id] = row
	row.wake = row.next()
	heap.Push(&t.due, row)
}

func (t *Table) remove(row *lease) {
	delete(t.rows, row.id)
	heap.Remove(&t.due, row.slot)
}

func (t *Table) reschedule(row *lease) {
	row.wake = row.next()
	heap.Fix(&t.due, row.slot)
}
