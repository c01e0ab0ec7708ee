// Where what opens above the page goes: beside what opened it, within the window.

/** Distance from its place and from the window's edges. */
const MARGIN_PX = 6;

/** Moves an open popover below `at`, or above where there is no room below. */
export function placeBeside(popover: HTMLElement, at: DOMRect): void {
  const { offsetWidth, offsetHeight, style } = popover;
  const below = at.bottom + MARGIN_PX;
  const top = below + offsetHeight > innerHeight ? at.top - MARGIN_PX - offsetHeight : below;
  style.left = `${Math.max(MARGIN_PX, Math.min(at.left, innerWidth - offsetWidth - MARGIN_PX))}px`;
  style.top = `${Math.max(MARGIN_PX, Math.min(top, innerHeight - offsetHeight - MARGIN_PX))}px`;
}
