package fence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lockstep/client"
)

// maxAttempts is how often Raise and Do try again when others were faster.
const maxAttempts = 10

// SQL keeps floors in one table of a database, next to the data that it protects,
// so that the check and the guarded write are one transaction:
//
//	err := fences.Do(ctx, db, "orders/42", g.Token(), g.Floor(), func(tx *sql.Tx) error {
//		_, err := tx.ExecContext(ctx, `UPDATE orders SET state = 'paid' WHERE id = 42`)
//		return err
//	})
//
// Each check writes to the resource's row, and thereby takes the row's lock until
// the transaction ends: of two guarded transactions the second one sees the floor
// of the first, at every isolation level from READ COMMITTED on. The statements
// are plain SQL-92 but for the placeholders.
//
// Floors are stored as signed 64-bit numbers; tokens of a partition count grants,
// and even restored lineages stay far below 2^63.
type SQL struct {
	// Table is the name of the table; empty: "lockstep_fence". It is put into
	// statements as it is, so it must not come from a stranger.
	Table string
	// Dollar is true for databases whose placeholders are $1, $2 (PostgreSQL);
	// false for ? (SQLite, MySQL).
	Dollar bool
}

// Schema is the statement that creates the table.
func (s SQL) Schema() string {
	return "CREATE TABLE IF NOT EXISTS " + s.table() +
		" (resource VARCHAR(512) NOT NULL PRIMARY KEY, floor BIGINT NOT NULL, checks BIGINT NOT NULL)"
}

// Create creates the table unless it exists.
func (s SQL) Create(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, s.Schema()); err != nil {
		return fmt.Errorf("fence: create table %s: %w", s.table(), err)
	}
	return nil
}

// Check notes the floor and refuses the write with a *StaleError if its token is
// not above the highest floor seen, inside the caller's transaction: what the caller
// writes in it is committed together with the floor, and no other guarded
// transaction on the resource comes between. After any error the caller must roll
// back; after ErrConflict it may try again.
func (s SQL) Check(ctx context.Context, tx *sql.Tx, resource string, token, floor client.Token) error {
	if err := valid(resource, token, floor); err != nil {
		return err
	}
	highest, err := s.raise(ctx, tx, resource, floor)
	if err != nil {
		return err
	}
	return judge(resource, token, highest)
}

// Do runs write inside a transaction of its own, after the check. When another
// transaction was faster, or the database is busy, it rolls back and tries again,
// so write may be called more than once, each time in a new transaction.
func (s SQL) Do(ctx context.Context, db *sql.DB, resource string, token, floor client.Token, write func(*sql.Tx) error) error {
	return s.retry(ctx, db, func(tx *sql.Tx) error {
		if err := s.Check(ctx, tx, resource, token, floor); err != nil {
			return err
		}
		return write(tx)
	})
}

// Store returns a Store for a Guard, whose every Raise is a transaction of its
// own. It does not make a write atomic with its check; Do does.
func (s SQL) Store(db *sql.DB) Store { return sqlStore{s, db} }

type sqlStore struct {
	sql SQL
	db  *sql.DB
}

// Raise implements Store.
func (s sqlStore) Raise(ctx context.Context, resource string, floor client.Token) (highest client.Token, err error) {
	err = s.sql.retry(ctx, s.db, func(tx *sql.Tx) error {
		highest, err = s.sql.raise(ctx, tx, resource, floor)
		return err
	})
	return highest, err
}

func (s SQL) table() string {
	if s.Table == "" {
		return "lockstep_fence"
	}
	return s.Table
}

// statement puts the database's placeholders in.
func (s SQL) statement(format string) string {
	format = strings.ReplaceAll(format, "{table}", s.table())
	if !s.Dollar {
		return format
	}
	var b strings.Builder
	n := 0
	for _, r := range format {
		if r == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// raise sets the floor to the larger one and returns it. The update comes first
// and always changes the row (some databases do not count a row that stays as it
// was), so that the row's lock is held before anything is read.
func (s SQL) raise(ctx context.Context, tx *sql.Tx, resource string, floor client.Token) (client.Token, error) {
	updated, err := tx.ExecContext(ctx,
		s.statement("UPDATE {table} SET floor = CASE WHEN floor < ? THEN ? ELSE floor END, checks = checks + 1 WHERE resource = ?"),
		int64(floor), int64(floor), resource)
	if err != nil {
		return 0, conflict("raise the floor", resource, err)
	}
	rows, err := updated.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("fence: raise the floor of %q: %w", resource, err)
	}
	if rows == 0 {
		_, err := tx.ExecContext(ctx,
			s.statement("INSERT INTO {table} (resource, floor, checks) VALUES (?, ?, 1)"), resource, int64(floor))
		if err != nil {
			return 0, conflict("create the row", resource, err)
		}
		return floor, nil
	}
	var highest int64
	if err := tx.QueryRowContext(ctx, s.statement("SELECT floor FROM {table} WHERE resource = ?"), resource).Scan(&highest); err != nil {
		return 0, conflict("read the floor", resource, err)
	}
	return client.Token(highest), nil
}

// conflict wraps an error of the database. Drivers do not agree on how to tell a
// violated key or a serialisation failure from others, so each may be one: the
// caller tries again a few times, and then sees the driver's error.
func conflict(what, resource string, err error) error {
	return fmt.Errorf("%w: %s of %q: %w", ErrConflict, what, resource, err)
}

// retry runs do in transactions until one commits or it is no use.
func (s SQL) retry(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := transact(ctx, db, do)
		if err == nil || !errors.Is(err, ErrConflict) || attempt == maxAttempts || ctx.Err() != nil {
			return err
		}
	}
}

// transact runs do in one transaction.
func transact(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("fence: begin: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // err says why; a failed rollback leaves nothing behind either
		}
	}()
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("fence: commit: %w", err)
	}
	return nil
}
