package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/client"
)

// Dial opens a client with so many connections.
type Dial func(ctx context.Context, connections int) (*client.Client, error)

// Progress is told of each measurement before it begins.
type Progress func(row Row, run int)

// Run measures every row and returns one result for each, in order. It stops at
// the first error.
func Run(ctx context.Context, cfg Config, dial Dial, now func() time.Time, progress Progress) ([]Result, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	results := make([]Result, 0, len(cfg.Rows))
	for _, row := range cfg.Rows {
		var runs []sample
		for run := range cfg.Runs {
			if progress != nil {
				progress(row, run+1)
			}
			s, err := measure(ctx, cfg, row, dial, now)
			if err != nil {
				return nil, fmt.Errorf("bench: %d clients over %d connections: %w", row.Clients, row.connections(), err)
			}
			runs = append(runs, s)
		}
		results = append(results, summarize(row, runs))
	}
	return results, nil
}

// measure sets a row's sessions up, lets them all work, and counts what was done
// within the duration after the warm-up.
func measure(ctx context.Context, cfg Config, row Row, dial Dial, now func() time.Time) (sample, error) {
	workers, closeAll, err := connect(ctx, cfg, row, dial)
	defer closeAll()
	if err != nil {
		return sample{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Warmup+cfg.Duration)
	defer cancel()
	var counting atomic.Bool
	begin := time.AfterFunc(cfg.Warmup, func() { counting.Store(true) })
	defer begin.Stop()

	errs := make(chan error, len(workers))
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { errs <- w.work(ctx, now, &counting) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return sample{}, err
		}
	}
	return collect(workers, cfg.Duration), nil
}

// worker is one session that acquires and releases one lock over and over.
type worker struct {
	session  *client.Session
	lock     *client.Lock
	acquires []time.Duration
	releases []time.Duration
}

func connect(ctx context.Context, cfg Config, row Row, dial Dial) (workers []*worker, closeAll func(), err error) {
	var clients []*client.Client
	closeAll = func() {
		endAll(ctx, workers)
		for _, c := range clients {
			_ = c.Close() // the sessions have ended; nothing is lost
		}
	}
	for i := range row.Clients {
		if len(clients) == 0 || row.Connections == 0 {
			c, err := dial(ctx, row.connectionsEach())
			if err != nil {
				return workers, closeAll, err
			}
			clients = append(clients, c)
		}
		s, err := clients[len(clients)-1].NewSession(ctx, client.TTL(cfg.TTL), client.Label("bench"))
		if err != nil {
			return workers, closeAll, err
		}
		n := i
		if row.Locks > 0 {
			n = i % row.Locks
		}
		workers = append(workers, &worker{session: s, lock: s.Lock(fmt.Sprintf("%s/%d", cfg.Prefix, n))})
	}
	return workers, closeAll, nil
}

// endAll ends the sessions side by side, so that many do not take long.
func endAll(ctx context.Context, workers []*worker) {
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { _ = w.session.End(ctx) }) // it would expire by itself
	}
	wg.Wait()
}

func (w *worker) work(ctx context.Context, now func() time.Time, counting *atomic.Bool) error {
	for ctx.Err() == nil {
		t0 := now()
		grant, err := w.lock.Acquire(ctx)
		if err != nil {
			return unlessOver(ctx, err)
		}
		t1 := now()
		// A release under way when time is up is finished: the next row starts clean.
		if err := grant.Release(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		if counting.Load() && ctx.Err() == nil {
			w.acquires = append(w.acquires, t1.Sub(t0))
			w.releases = append(w.releases, now().Sub(t1))
		}
	}
	return nil
}

func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
