// An append-only file of JSON lines: what this brand has promised, in the order in which it did.
//
// A line counts once it is on the disk: `append` returns after fsync, and only then may anything be answered or sent.
// What a crash leaves: at most one line that was not finished. Nobody was told of it, so it is cut off at the start.
//
// One process writes a journal. If another one does, both stop at their next line instead of deciding on a state that
// is not the whole one. A brand with more than one process uses a database, and a unique key where this has a Map.

import fs from "node:fs";
import path from "node:path";

/** What stands in the file is not known any more: whoever gets this stops. */
export class JournalLost extends Error {}

export class Journal {
  /** Opens a journal, makes it where there is none; `replay` gets every line of it, oldest first. */
  constructor(file, replay) {
    this.file = file;
    const isNew = !fs.existsSync(file);
    this.descriptor = fs.openSync(file, "a+", 0o600);
    // The name of a new file is in its folder, which is written for itself.
    if (isNew) syncFolder(path.dirname(path.resolve(file)));
    const content = fs.readFileSync(file);
    this.size = content.lastIndexOf(0x0a) + 1;
    if (this.size < content.length) fs.ftruncateSync(this.descriptor, this.size);
    for (const line of content.toString("utf8", 0, this.size).split("\n")) {
      if (line) replay(JSON.parse(line));
    }
  }

  /** Writes one line through to the disk. */
  append(line) {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    this.#mustBeOurs();
    // A crash in here leaves no line, a part of one, or all of it; whoever asked got no answer and asks again.
    try {
      let written = 0;
      while (written < bytes.length) written += fs.writeSync(this.descriptor, bytes, written);
      fs.fsyncSync(this.descriptor);
    } catch (error) {
      throw new JournalLost(`${this.file}: ${error.message}`);
    }
    this.size += bytes.length;
    this.#mustBeOurs();
  }

  close() {
    fs.closeSync(this.descriptor);
  }

  #mustBeOurs() {
    if (fs.fstatSync(this.descriptor).size === this.size) return;
    throw new JournalLost(`${this.file}: another process writes this journal; start one of the two only`);
  }
}

function syncFolder(folder) {
  const descriptor = fs.openSync(folder, "r");
  fs.fsyncSync(descriptor);
  fs.closeSync(descriptor);
}
