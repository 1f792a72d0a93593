package fence_test

import (
	"context"
	"errors"
	"fmt"

	"lockstep/client/fence"
)

// A late write of a holder whose lock has passed on is refused.
func ExampleGuard() {
	ctx := context.Background()
	guard := fence.New(new(fence.Memory)) // at the resource

	// Two holders, one after the other: the second one's floor is the first one's token.
	fmt.Println(guard.Check(ctx, "/orders/42", 33, 30))
	fmt.Println(guard.Check(ctx, "/orders/42", 34, 33))

	// The first one was suspended and wakes up.
	err := guard.Check(ctx, "/orders/42", 33, 30)
	fmt.Println(errors.Is(err, fence.ErrStale))
	// Output:
	// <nil>
	// <nil>
	// true
}
