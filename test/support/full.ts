/** Whether tests run at full count: `FULL=1`, which `npm run test:all` sets. Otherwise they try fewer random cases. */
export const FULL = process.env.FULL === "1";
