/** A person's access to the local cloud. The emulator lets it do everything. */
export const localCredentials = { accessKeyId: "test", secretAccessKey: "test" } as const;
