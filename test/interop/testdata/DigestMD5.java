import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.CallbackHandler;
import javax.security.auth.callback.NameCallback;
import javax.security.auth.callback.PasswordCallback;
import javax.security.sasl.AuthorizeCallback;
import javax.security.sasl.RealmCallback;
import javax.security.sasl.Sasl;
import javax.security.sasl.SaslClient;
import javax.security.sasl.SaslServer;

/**
 * Both sides of DIGEST-MD5 as Java has them, for the only user, told by the first line, "USER PASSWORD". Each further line
 * is a question: "server" and "client" begin anew; "toServer HEX" and "toClient HEX" give a token to one of them. The
 * answer is "ok HEX", with what it says, or "fail" and why. Words are UTF-8 in hex.
 */
public class DigestMD5 {
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in));
        var out = new PrintStream(System.out, true);
        String[] account = in.readLine().split(" ");
        String user = text(account[0]);
        CallbackHandler handler = callbacks -> {
            String name = null;
            for (Callback c : callbacks) {
                if (c instanceof NameCallback n) {
                    name = n.getDefaultName();
                    n.setName(name);
                } else if (c instanceof PasswordCallback p && user.equals(name)) {
                    p.setPassword(text(account[1]).toCharArray());
                } else if (c instanceof RealmCallback r) {
                    r.setText(r.getDefaultText());
                } else if (c instanceof AuthorizeCallback a) {
                    a.setAuthorized(true);
                }
            }
        };
        SaslServer server = null;
        SaslClient client = null;
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split(" ", 2);
            try {
                byte[] answer = new byte[0];
                switch (words[0]) {
                    case "server" -> server = Sasl.createSaslServer("DIGEST-MD5", "zookeeper", "zk-sasl-md5", null, handler);
                    case "client" -> client = Sasl.createSaslClient(
                        new String[] {"DIGEST-MD5"}, user, "zookeeper", "zk-sasl-md5", null, handler);
                    case "toServer" -> answer = server.evaluateResponse(HEX.parseHex(words[1]));
                    case "toClient" -> answer = client.evaluateChallenge(HEX.parseHex(words[1]));
                    default -> throw new IllegalArgumentException(line);
                }
                out.println("ok " + (answer == null ? "" : HEX.formatHex(answer)));
            } catch (Exception e) {
                out.println("fail " + e.toString().replaceAll("\\s", " "));
            }
        }
    }

    static String text(String hex) {
        return new String(HEX.parseHex(hex), StandardCharsets.UTF_8);
    }
}
