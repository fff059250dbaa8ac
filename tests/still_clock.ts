// A clock that stands still, so that nothing takes time: models then choose as
// many tokens ahead as they can, however slow the machine is.

/** Stops `performance.now()` until it is disposed. */
export function stillClock(): Disposable {
  const { now } = performance;
  performance.now = () => 0;
  return {
    [Symbol.dispose]() {
      performance.now = now;
    },
  };
}
