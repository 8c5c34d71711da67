/** The credentials of an emulator that tests start for themselves. */
export const testCredentials = { accessKeyId: "LOCALTESTS", secretAccessKey: "a secret of the tests" } as const;
