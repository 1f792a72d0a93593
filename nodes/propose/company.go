package propose

// company waits, after an entry of n commands was answered, until as many have
// come again, beside those that wait already, but not long.
//
// Clients that work in lockstep with the service send their next request when
// they have the last answer. Without this they fall into two halves, one waiting
// while the other's entry is in flight, and every entry costs a sync on each
// node: half the throughput, and no less waiting for anybody.
func (p *Proposer) company(n int) {
	if n < 2 || p.cfg.Company == 0 {
		return
	}
	p.mu.Lock()
	p.wanted = min(n+len(p.queue), p.cfg.BatchCommands)
	select {
	case <-p.enough: // a signal of last time
	default:
	}
	p.mu.Unlock()

	timer := p.clock.NewTimer(p.cfg.Company)
	defer timer.Stop()
	select {
	case <-p.enough:
	case <-timer.Chan():
	case <-p.ended:
	}
	p.mu.Lock()
	p.wanted = 0
	p.mu.Unlock()
}
