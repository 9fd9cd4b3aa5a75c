/**
 * The same number. To an engine a number that came out of a Float64Array, a quotient or a power is none of its small integers,
 * whatever its value; positions and sequences that are derived from it are none either, and everything that works with them
 * gets slower (a copy takes twice as long), also for those whose numbers are as they should be. So where such a number leaves
 * a table, it goes through here. Above 2^31 there is nothing to gain.
 */
export function smallInteger(value: number): number {
  const integer = value | 0;
  return integer === value ? integer : value;
}
