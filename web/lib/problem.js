/** An error with a code. `texts.problems` explains each code to the user. */
export class Problem extends Error {
  /** `details` may have the service's detail, personId and retryAfter (in seconds). */
  constructor(code, details = {}) {
    super(code);
    this.code = code;
    Object.assign(this, details);
  }
}
