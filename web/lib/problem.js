/** What went wrong, with a code that the texts explain. */
export class Problem extends Error {
  /** `known` may hold the service's detail, personId and retryAfter (seconds). */
  constructor(code, known = {}) {
    super(code);
    this.code = code;
    Object.assign(this, known);
  }
}
