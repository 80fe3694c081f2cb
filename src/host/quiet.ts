/** Has changes of a folder be nobody's news, for whoever makes them and loads what they come to. */
export interface Quiet {
  /** Nothing is told of the folder (absolute) from now on. */
  hold(folder: string): void;
  /** What is in it now counts as known. */
  acknowledge(folder: string): Promise<void>;
  /** What has changed since is told, from now on. */
  release(folder: string): Promise<void>;
}
