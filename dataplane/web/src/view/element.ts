// Finding and making elements of the page.

/**
 * The element of an ID in index.html.
 *
 * @throws {Error} where the page has none: index.html and the code have drifted apart.
 */
export function byId<T extends Element>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) {
    throw new Error(`index.html has no <${type.name}> with the ID "${id}"`);
  }
  return found;
}

/** A new element with a class and a text. Text is never read as HTML. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  text = '',
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
