/**
 * Paths of include directives. Text only: the file system is asked by the caller. The rules are those of Go's `path`
 * package, because `FILE:LINE:POS` in messages and the files that are found depend on them.
 */

/** Removes empty steps, `.` and, where a directory stands before it, `..`. An empty path is `.`. */
export function cleanPath(path: string): string {
  const isAbsolute = path.startsWith("/");
  const steps: string[] = [];
  for (const step of path.split("/")) {
    if (step === "" || step === ".") continue;
    if (step !== "..") steps.push(step);
    else if (steps.length > 0 && steps.at(-1) !== "..") steps.pop();
    else if (!isAbsolute) steps.push(step);
  }
  const joined = steps.join("/");
  return isAbsolute ? `/${joined}` : joined === "" ? "." : joined;
}

/**
 * The file that `included` means inside `file`: always below the directory of `file`, even if it starts with `/`
 * (operations.md 2.2 rule 9).
 */
export function includedPath(file: string, included: string): string {
  const slash = file.lastIndexOf("/");
  return cleanPath(slash < 0 ? `./${included}` : `${file.slice(0, slash)}/${included}`);
}
