package replica_test

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lockstep/engine"
	"lockstep/nodes/replica"
)

// sink notes what it is told.
type sink struct {
	applied  []uint64
	restored []uint64
}

func (s *sink) Applied(e *engine.Engine, a *replica.Applied) {
	if e.Index() != a.Entry.Index {
		panic("told at another moment")
	}
	s.applied = append(s.applied, a.Entry.Index)
}
func (s *sink) Restored(e *engine.Engine) { s.restored = append(s.restored, e.Index()) }

func newReplica(t *testing.T) (*replica.Replica, *sink) {
	t.Helper()
	r, err := replica.New(engine.DefaultConfig(1), slog.New(slog.DiscardHandler), func(reason string) { t.Error("halted: " + reason) })
	require.NoError(t, err)
	s := &sink{}
	r.Subscribe(s)
	return r, s
}

func tick(n uint64) []byte {
	return replica.AppendEntry(nil, 3, engine.Batch{Time: engine.LogTime(n), Commands: []engine.Command{&engine.Tick{Term: 3}}})
}

func TestSinksHearOfEveryEntryInOrder(t *testing.T) {
	r, s := newReplica(t)
	first, second := &sink{}, s
	r.Subscribe(first)
	for index := uint64(1); index <= 3; index++ {
		applied := r.Apply(index, 3, tick(index)).(*replica.Applied)
		assert.Len(t, applied.Outcome.Results, 1)
	}
	assert.Equal(t, []uint64{1, 2, 3}, first.applied)
	assert.Equal(t, []uint64{1, 2, 3}, second.applied)
}

func TestWaitersAreCalledWhenTheIndexIsReached(t *testing.T) {
	r, _ := newReplica(t)
	var called []string
	wait := func(index uint64, name string) { r.WhenReached(index, func() { called = append(called, name) }) }
	wait(0, "at once")
	wait(5, "configuration")
	wait(2, "entry")
	wait(9, "snapshot")
	assert.Equal(t, []string{"at once"}, called)
	r.Apply(2, 3, tick(1))
	assert.Equal(t, []string{"at once", "entry"}, called)
	r.NoteConfiguration(5)
	assert.Equal(t, []string{"at once", "entry", "configuration"}, called, "configuration entries count")
	other, _ := newReplica(t)
	other.Apply(8, 3, tick(1))
	image, err := other.Snapshot()
	require.NoError(t, err)
	var snapshot bytes.Buffer
	require.NoError(t, image.WriteSnapshot(&snapshot))
	require.NoError(t, r.Restore(9, 3, &snapshot))
	assert.Len(t, called, 4)
}

func TestRestoreReplacesAndTells(t *testing.T) {
	from, _ := newReplica(t)
	open := &engine.OpenSession{SecretHash: [32]byte{1}, TTL: engine.DefaultTTL, Grace: engine.DefaultTTL / 2, Principal: "p"}
	from.Apply(1, 3, replica.AppendEntry(nil, 3, engine.Batch{Time: 1, Commands: []engine.Command{open}}))
	image, err := from.Snapshot()
	require.NoError(t, err)
	from.Apply(2, 3, tick(2)) // the image stands still
	var snapshot bytes.Buffer
	require.NoError(t, image.WriteSnapshot(&snapshot))

	to, s := newReplica(t)
	to.Apply(1, 3, tick(7))
	require.NoError(t, to.Restore(1, 3, bytes.NewReader(snapshot.Bytes())))
	assert.Equal(t, []uint64{1}, s.restored)
	to.Read(func(e *engine.Engine) {
		assert.EqualValues(t, 1, e.Counts().Sessions)
		assert.EqualValues(t, 1, e.Time(), "nothing of the old state is left")
	})
	to.Apply(2, 3, tick(2))
	var one, other uint64
	from.Read(func(e *engine.Engine) { one = e.Digest() })
	to.Read(func(e *engine.Engine) { other = e.Digest() })
	assert.Equal(t, one, other)

	torn := snapshot.Bytes()[:snapshot.Len()-3]
	require.Error(t, to.Restore(9, 3, bytes.NewReader(torn)))
	assert.Equal(t, uint64(2), to.Index(), "a torn snapshot changes nothing")
}

func TestDigestIsNotedEveryNow(t *testing.T) {
	r, _ := newReplica(t)
	r.Apply(replica.DigestEvery-1, 3, tick(1))
	assert.Zero(t, r.Digest())
	r.Apply(replica.DigestEvery, 3, tick(2))
	digest := r.Digest()
	assert.EqualValues(t, replica.DigestEvery, digest.Index)
	r.Apply(replica.DigestEvery+1, 3, tick(3))
	assert.Equal(t, digest, r.Digest())
}

func TestBadBytesHaltTheNodeWithIndexAndDigest(t *testing.T) {
	for name, data := range map[string][]byte{
		"garbage":         {1, 3, 0xff, 0xff},
		"a later version": append([]byte{9}, tick(1)[1:]...),
	} {
		t.Run(name, func(t *testing.T) {
			halted := make(chan string, 1)
			r, err := replica.New(engine.DefaultConfig(1), slog.New(slog.DiscardHandler), func(reason string) {
				halted <- reason
				runtime.Goexit()
			})
			require.NoError(t, err)
			go r.Apply(4711, 3, data)
			reason := <-halted
			assert.Contains(t, reason, "4711")
			assert.True(t, strings.Contains(reason, "digest"), reason)
		})
	}
}
