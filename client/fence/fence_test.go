package fence_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
	"pgregory.net/rapid"

	"lockstep/client"
	"lockstep/client/fence"
)

// openSQLite opens a database file that several connections may write to.
func openSQLite(tb testing.TB, fences fence.SQL) *sql.DB {
	tb.Helper()
	return reopen(tb, filepath.Join(tb.TempDir(), "fence.db"), fences)
}

func reopen(tb testing.TB, file string, fences fence.SQL) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_txlock=immediate")
	require.NoError(tb, err)
	tb.Cleanup(func() { db.Close() })
	require.NoError(tb, fences.Create(tb.Context(), db))
	return db
}

// stores are all implementations of Store.
func stores(tb testing.TB) map[string]func() fence.Store {
	tb.Helper()
	return map[string]func() fence.Store{
		"memory": func() fence.Store { return new(fence.Memory) },
		"sql":    func() fence.Store { return fence.SQL{}.Store(openSQLite(tb, fence.SQL{})) },
		"sql with $1": func() fence.Store {
			fences := fence.SQL{Table: "other_name", Dollar: true}
			return fences.Store(openSQLite(tb, fences))
		},
	}
}

func TestGuard(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			g, ctx := fence.New(store()), t.Context()
			require.NoError(t, g.Check(ctx, "r", 1, 0))
			require.NoError(t, g.Check(ctx, "r", 4, 3), "a new holder")
			require.NoError(t, g.Check(ctx, "r", 5, 4), "the next")
			require.ErrorIs(t, g.Check(ctx, "r", 4, 3), fence.ErrStale, "the holder just before")
			err := g.Check(ctx, "r", 3, 2)
			require.ErrorIs(t, err, fence.ErrStale, "one long gone")
			var stale *fence.StaleError
			require.ErrorAs(t, err, &stale)
			assert.Equal(t, fence.StaleError{Resource: "r", Token: 3, Highest: 4}, *stale)
			require.NoError(t, g.Check(ctx, "r", 6, 4), "two shared holders have one floor")
			require.NoError(t, g.Check(ctx, "r", 5, 4), "and may both write")
			require.NoError(t, g.Check(ctx, "elsewhere", 3, 2), "resources do not mix")

			require.NoError(t, g.Install(ctx, "r", 9, 8))
			require.ErrorIs(t, g.Check(ctx, "r", 6, 4), fence.ErrStale, "shut out before the new holder has written")
			require.ErrorIs(t, g.Install(ctx, "r", 7, 6), fence.ErrStale)
			require.ErrorIs(t, g.Check(ctx, "r", 8, 7), fence.ErrStale, "the floor is the token of a holder shut out")
		})
	}
}

func TestGuardRefusesNonsense(t *testing.T) {
	g := fence.New(new(fence.Memory))
	for name, c := range map[string]struct {
		resource     string
		token, floor client.Token
	}{
		"no resource":           {"", 1, 0},
		"no token":              {"r", 0, 0},
		"floor above the token": {"r", 3, 4},
		"floor at the token":    {"r", 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, g.Check(t.Context(), c.resource, c.token, c.floor), fence.ErrInvalid)
		})
	}
}

func TestGuardWithoutItsStoreSaysNo(t *testing.T) {
	fences := fence.SQL{}
	db := openSQLite(t, fences)
	g := fence.New(fences.Store(db))
	require.NoError(t, g.Check(t.Context(), "r", 1, 0))
	db.Close()
	err := g.Check(t.Context(), "r", 2, 1)
	require.Error(t, err)
	require.NotErrorIs(t, err, fence.ErrStale)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, fence.New(new(fence.Memory)).Check(ctx, "r", 1, 0), context.Canceled)
}

func TestFloorsSurviveRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fence.db")
	fences := fence.SQL{}
	db := reopen(t, file, fences)
	require.NoError(t, fence.New(fences.Store(db)).Check(t.Context(), "r", 9, 8))
	require.NoError(t, db.Close())
	again := fence.New(fences.Store(reopen(t, file, fences)))
	require.ErrorIs(t, again.Check(t.Context(), "r", 7, 5), fence.ErrStale)
}

// TestProp_GuardAgreesWithModel compares each store with a map of the highest
// floors, and remembers every accepted write: none may be at or below a floor
// seen before it.
func TestProp_GuardAgreesWithModel(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			g := fence.New(store())
			run := 0
			rapid.Check(t, func(t *rapid.T) {
				run++ // a database is made once: each run has resources of its own
				floors := map[string]client.Token{}
				for range rapid.IntRange(1, 30).Draw(t, "writes") {
					resource := fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "resource"), run)
					token := client.Token(rapid.Uint64Range(1, 20).Draw(t, "token"))
					floor := client.Token(rapid.Uint64Range(0, uint64(token)-1).Draw(t, "floor"))
					floors[resource] = max(floors[resource], floor)
					err := g.Check(context.Background(), resource, token, floor)
					if token <= floors[resource] {
						require.ErrorIs(t, err, fence.ErrStale)
					} else {
						require.NoError(t, err)
					}
				}
			})
		})
	}
}

func TestDoLetsNothingComeBetween(t *testing.T) {
	g := fence.New(new(fence.Memory))
	inside, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var order []client.Token
	wg.Go(func() {
		assert.NoError(t, g.Do(t.Context(), "r", 5, 4, func(context.Context) error {
			close(inside)
			<-release
			order = append(order, 5)
			return nil
		}))
	})
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.Do(ctx, "r", 6, 5, func(context.Context) error { panic("must not write") }), context.Canceled)
	wg.Go(func() {
		assert.NoError(t, g.Do(t.Context(), "r", 6, 5, func(context.Context) error {
			order = append(order, 6)
			return nil
		}))
	})
	close(release)
	wg.Wait()
	assert.Equal(t, []client.Token{5, 6}, order)
	err := g.Do(t.Context(), "r", 4, 3, func(context.Context) error { panic("must not write") })
	require.ErrorIs(t, err, fence.ErrStale)
}

func TestGuardedTransactions(t *testing.T) {
	fences, ctx := fence.SQL{}, t.Context()
	db := openSQLite(t, fences)
	_, err := db.ExecContext(ctx, `CREATE TABLE orders (id INTEGER PRIMARY KEY, writer BIGINT NOT NULL)`)
	require.NoError(t, err)
	write := func(token client.Token) func(*sql.Tx) error {
		return func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO orders (writer) VALUES (?)`, int64(token))
			return err
		}
	}
	require.NoError(t, fences.Do(ctx, db, "orders", 5, 4, write(5)))
	require.ErrorIs(t, fences.Do(ctx, db, "orders", 3, 2, write(3)), fence.ErrStale)

	// A write that fails takes the floor back with it.
	broken := errors.New("broken")
	require.ErrorIs(t, fences.Do(ctx, db, "orders", 9, 8, func(*sql.Tx) error { return broken }), broken)
	require.NoError(t, fences.Do(ctx, db, "orders", 5, 4, write(5)))

	// In a transaction of the caller's.
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	require.NoError(t, fences.Check(ctx, tx, "orders", 7, 6))
	require.NoError(t, write(7)(tx))
	require.NoError(t, tx.Commit())
	require.ErrorIs(t, fences.Do(ctx, db, "orders", 5, 4, write(5)), fence.ErrStale)

	var writers int
	require.NoError(t, db.QueryRowContext(ctx, `SELECT COUNT(*) FROM orders`).Scan(&writers))
	assert.Equal(t, 3, writers)
}

// TestConcurrentGuards lets several guards with connections of their own write to
// one resource. The history in the table must be one that a single guard could
// have made: no write follows one whose floor is its token or higher.
func TestConcurrentGuards(t *testing.T) {
	fences, ctx := fence.SQL{}, t.Context()
	file := filepath.Join(t.TempDir(), "fence.db")
	setup := reopen(t, file, fences)
	_, err := setup.ExecContext(ctx, `CREATE TABLE log (n INTEGER PRIMARY KEY AUTOINCREMENT, token BIGINT, floor BIGINT)`)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for writer := range 4 {
		db := reopen(t, file, fences)
		wg.Go(func() {
			for round := range 25 {
				token := client.Token(4*round + writer + 1)
				err := fences.Do(ctx, db, "r", token, token-1, func(tx *sql.Tx) error {
					_, err := tx.ExecContext(ctx, `INSERT INTO log (token, floor) VALUES (?, ?)`, int64(token), int64(token-1))
					return err
				})
				if !errors.Is(err, fence.ErrStale) {
					assert.NoError(t, err)
				}
			}
		})
	}
	wg.Wait()
	rows, err := setup.QueryContext(ctx, `SELECT token, floor FROM log ORDER BY n`)
	require.NoError(t, err)
	defer rows.Close()
	highest, n := int64(0), 0
	for rows.Next() {
		var token, floor int64
		require.NoError(t, rows.Scan(&token, &floor))
		assert.Greater(t, token, highest)
		highest = max(highest, floor)
		n++
	}
	require.NoError(t, rows.Err())
	assert.NotZero(t, n)
}

func BenchmarkCheckInMemory(b *testing.B) {
	g := fence.New(new(fence.Memory))
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Check(b.Context(), "r", 5, 4); err != nil {
			b.Fatal(err)
		}
	}
}
