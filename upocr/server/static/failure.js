// What the user is told when something goes wrong.

const PASSING = [0, 408, 429, 503]; // statuses that a second try may not meet

/** A sentence for the user. */
export class Failure extends Error {
  constructor(sentence, status = 0) {
    super(sentence);
    this.status = status;
    this.mayPass = PASSING.includes(status);
  }
}
