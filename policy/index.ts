import { PolicyPack } from "@pulumi/policy";
import { rules } from "./rules";

// Starts the server that Pulumi asks about each resource: pulumi up --policy-pack policy
new PolicyPack("music-streams", { enforcementLevel: "mandatory", policies: rules });
