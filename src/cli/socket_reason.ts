/** What a socket reports, in words that say what to do. Pure. */

/** `advice`: where somebody looks first when nobody listens. */
export function socketReason(error: Error & { readonly code?: string }, advice: string): string {
  switch (error.code) {
    case "ECONNREFUSED":
      return `nobody listens there. ${advice}`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host name does not resolve";
    case "ECONNRESET":
    case "EPIPE":
      return "the server closed the connection";
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_GET_ISSUER_CERT":
      return `the certificate of the server is not trusted (${error.code}). Give the authority that signed it with --ca`;
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `${error.message}. Connect under a name that is in the certificate`;
  }
  return error.message || error.code || "the connection failed";
}
