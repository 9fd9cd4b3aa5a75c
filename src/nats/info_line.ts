/** The INFO line of a port (nats-server.md 2): the same for all of its clients but for who they are. */

/** Who is told. */
export interface InfoReader {
  readonly id: number;
  readonly remoteAddress: string;
  /** What it has to sign; "" for nothing. */
  readonly nonce: string;
  write(bytes: Uint8Array): void;
}

const utf8 = new TextEncoder();

/** Made once for many clients: putting all fields into words for each of them is a twelfth of a connect (2026-11). */
export class InfoLine {
  readonly #head: Uint8Array;
  readonly #end: string;

  /** `fields` of the server in their order; what is undefined is left out. */
  constructor(fields: object, isLameDuck: boolean) {
    this.#head = utf8.encode(`INFO ${JSON.stringify(fields).slice(0, -1)},"client_id":`);
    this.#end = isLameDuck ? ',"ldm":true} \r\n' : "} \r\n";
  }

  writeTo(reader: InfoReader): void {
    const { id, remoteAddress, nonce } = reader;
    const signed = nonce === "" ? "" : `,"nonce":${JSON.stringify(nonce)}`;
    reader.write(this.#head);
    reader.write(utf8.encode(`${id},"client_ip":${JSON.stringify(remoteAddress)}${signed}${this.#end}`));
  }
}
