/** `stanchion clients`: who is connected. */
import { quote } from "../base/quote.ts";
import type { Arguments } from "./arguments.ts";
import { type CliHost, CommandError } from "./host.ts";
import { MonitorClient } from "./monitor_client.ts";
import { clientsTable, jsonText, showOrWatch, subscriptionsTable } from "./views.ts";

/** Runs the command; resolves with the exit status. */
export async function runClients(args: Arguments, host: CliHost): Promise<number> {
  const [id] = args.wordsAs(["ID"], 1);
  const monitor = new MonitorClient(args, host);
  const json = args.flag("json");
  return await showOrWatch(args, host, async (bold) => {
    if (id === undefined) {
      const rows = await monitor.clients(args.text("search") ?? "");
      if (json) return jsonText(args, { clients: rows });
      return rows.length === 0 ? "No clients\n" : clientsTable(rows, bold);
    }
    const subscriptions = await monitor.subscriptionsOf(id);
    if (subscriptions === undefined) throw new CommandError("CLI_MONITOR", `There is no client ${quote(id)}`);
    if (json) return jsonText(args, { id, subscriptions });
    return subscriptions.length === 0 ? "No subscriptions\n" : subscriptionsTable(subscriptions, true, bold);
  });
}
