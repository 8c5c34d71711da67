/** The user's credentials for the local cloud. For the emulator they are root: they may do everything. */
export const localCredentials = { accessKeyId: "test", secretAccessKey: "test" } as const;
