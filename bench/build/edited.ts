import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** An application of one source, copied to where it may be edited. */
export class Edited {
  readonly folder: string;
  /** Absolute path of the source. */
  readonly source: string;
  readonly #marked: string;
  readonly #text: string;
  #edits = 0;

  private constructor(folder: string, source: string, text: string, marked: string) {
    this.folder = folder;
    this.source = source;
    this.#text = text;
    this.#marked = marked;
  }

  /** Copy `application` to `folder`, with one of its sources only; `marked` begins the literal that an edit changes. */
  static async copy(application: string, folder: string, source: string, marked: string): Promise<Edited> {
    await rm(folder, { recursive: true, force: true });
    await mkdir(path.join(folder, 'resources'), { recursive: true });
    await cp(path.join(application, 'config.yaml'), path.join(folder, 'config.yaml'));
    const text = await readFile(path.join(application, 'resources', source), 'utf8');
    if (text.split(marked).length !== 2) throw new Error(`${source} must have ${marked} once`);
    const edited = new Edited(folder, path.join(folder, 'resources', source), text, marked);
    await edited.edit();
    return edited;
  }

  /** Change one line to what it never was, as an editor saves; what the plugin says from now on. */
  async edit(): Promise<string> {
    this.#edits += 1;
    const mark = `edit ${this.#edits} of ${process.pid}`;
    await this.put(mark);
    return mark;
  }

  /** Change the line to say `mark`. */
  async put(mark: string): Promise<void> {
    const fresh = path.join(this.folder, '.fresh');
    await writeFile(fresh, this.#text.replace(this.#marked, `"${mark}`));
    await rename(fresh, this.source);
  }
}
