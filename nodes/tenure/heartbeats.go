package tenure

import (
	"lockstep/engine"
	"lockstep/nodes/lease"
)

// HeartbeatDone is told once whether a session's heartbeat is acknowledged: Fine,
// Doomed or Unknown; or with an error, that nothing can be said.
type HeartbeatDone func(verdict lease.Verdict, err error)

// Heartbeat takes the heartbeats of sessions that have arrived together. Each
// done, which belongs to the session at the same place, is called once.
func (t *Tenure) Heartbeat(ids []engine.SessionID, done []HeartbeatDone) {
	receipt := t.instant()
	var fine []int
	for i, verdict := range t.arrived(ids) {
		switch verdict {
		case lease.Fine:
			fine = append(fine, i)
		case lease.NeedsAlive:
			t.revive(ids[i], receipt, done[i])
		case lease.Doomed, lease.Unknown:
			t.deny(verdict, done[i])
		}
	}
	if len(fine) == 0 {
		return
	}
	t.Confirm(false, func(_ uint64, err error) {
		for _, i := range fine {
			if err != nil {
				done[i](0, err)
				continue
			}
			t.acknowledge(ids[i], receipt, done[i])
		}
	})
}

func (t *Tenure) arrived(ids []engine.SessionID) []lease.Verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	verdicts := make([]lease.Verdict, len(ids))
	for i, id := range ids {
		verdicts[i] = t.leases.Arrived(id)
	}
	return verdicts
}

// acknowledge is called after a round that began after receipt.
func (t *Tenure) acknowledge(id engine.SessionID, receipt lease.Instant, done HeartbeatDone) {
	t.mu.Lock()
	verdict := t.leases.Acknowledge(id, receipt)
	t.mu.Unlock()
	if verdict == lease.NeedsAlive {
		t.revive(id, receipt, done)
		return
	}
	done(verdict, nil)
}

// revive acknowledges a heartbeat of a session whose silence the log records, or
// will: only after the log says that it is alive.
func (t *Tenure) revive(id engine.SessionID, receipt lease.Instant, done HeartbeatDone) {
	t.mu.Lock()
	again := &revival{tenure: t, id: id, silences: t.leases.Silences(id), receipt: receipt, done: done}
	err := t.SubmitOwn(&engine.Alive{Term: t.term, Session: id}, again)
	t.mu.Unlock()
	if err != nil {
		done(0, err)
	}
}

// deny says no, which needs a proof that this node is still leader.
func (t *Tenure) deny(verdict lease.Verdict, done HeartbeatDone) {
	t.Confirm(false, func(_ uint64, err error) {
		if err != nil {
			done(0, err)
			return
		}
		done(verdict, nil)
	})
}

// revival waits for an Alive to be applied.
type revival struct {
	tenure *Tenure
	id     engine.SessionID
	// silences is up to which Silent of this tenure Alive undoes them.
	silences uint64
	receipt  lease.Instant
	done     HeartbeatDone
}

// Decided implements propose.Completion. That the entry was committed in this
// term (else it was refused) stands for a round.
func (r *revival) Decided(result engine.Result) {
	verdict := lease.Doomed
	if _, refused := result.(*engine.Refused); !refused {
		r.tenure.mu.Lock()
		verdict = r.tenure.leases.Alive(r.id, r.silences, r.receipt)
		r.tenure.mu.Unlock()
	}
	if !r.tenure.Valid() {
		r.done(0, ErrOver)
		return
	}
	r.done(verdict, nil)
}

// Failed implements propose.Completion.
func (r *revival) Failed(err error) { r.done(0, err) }
